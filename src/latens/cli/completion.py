"""Scripts by which shells complete the command line. They hold the words of the parser, so completing starts no Python."""

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["SHELLS", "script_for"]


@dataclass(frozen=True)
class _Word:
    """An option of a command: its flags, the words that may follow it (none: anything), and its help."""

    flags: tuple[str, ...]
    choices: tuple[str, ...]
    takes_value: bool
    help: str


@dataclass(frozen=True)
class _Command:
    name: str
    help: str
    options: tuple[_Word, ...]
    words: tuple[str, ...]  # that may stand for an argument without a flag


def script_for(shell: str, parser: argparse.ArgumentParser) -> str:
    """The script of a shell: one of `SHELLS`.

    Args:
        shell: its name.
        parser: of the whole command line.
    """
    return SHELLS[shell](list(_commands_of(parser)))


def _commands_of(parser: argparse.ArgumentParser) -> Iterator[_Command]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                command.format_help()  # which adds the arguments that are slow to find
                yield _command(name, helps.get(name, ""), command)


def _command(name: str, text: str, parser: argparse.ArgumentParser) -> _Command:
    options: list[_Word] = []
    words: list[str] = []
    for action in parser._actions:
        choices = tuple(str(choice) for choice in action.choices or ())
        if action.option_strings:
            told = "" if action.help in (None, argparse.SUPPRESS) else parser._get_formatter()._expand_help(action)
            options.append(_Word(tuple(action.option_strings), choices, action.nargs != 0, told))
        else:
            words += choices
    return _Command(name, text, tuple(options), tuple(words))


def _bash(commands: list[_Command]) -> str:
    cases = []
    for command in commands:
        follow = [
            f"      {'|'.join(option.flags)}) words={shlex.quote(' '.join(option.choices))};;"
            for option in command.options
            if option.choices
        ]
        free = [
            flag for option in command.options if option.takes_value and not option.choices for flag in option.flags
        ]
        if free:
            follow.append(f"      {'|'.join(free)}) words=;;")
        flags = " ".join(flag for option in command.options for flag in option.flags)
        follow.append(f"      *) words={shlex.quote(' '.join([flags, *command.words]))};;")
        cases.append("\n".join([f"    {command.name}) case $previous in", *follow, "    esac;;"]))
    names = " ".join(command.name for command in commands)
    return "\n".join(
        [
            '# eval "$(latens completion bash)", in ~/.bashrc',
            "_latens() {",
            '  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words=""',
            "  if [ $COMP_CWORD -eq 1 ]; then",
            f"    words={shlex.quote(f'{names} --help --version')}",
            "  else case ${COMP_WORDS[1]} in",
            *cases,
            "  esac; fi",
            '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
            "}",
            "complete -o default -F _latens latens",
        ]
    )


def _zsh(commands: list[_Command]) -> str:
    return "\n".join(
        [
            '# eval "$(latens completion zsh)", in ~/.zshrc behind compinit',
            "autoload -U +X bashcompinit && bashcompinit",
            *_bash(commands).splitlines()[1:],
        ]
    )


def _fish(commands: list[_Command]) -> str:
    lines = ["# latens completion fish > ~/.config/fish/completions/latens.fish"]
    for command in commands:
        lines.append(f"complete -c latens -n __fish_use_subcommand -f -a {command.name} -d {_quoted(command.help)}")
    for command in commands:
        within = f"complete -c latens -n '__fish_seen_subcommand_from {command.name}'"
        if command.words:
            lines.append(f"{within} -a {_quoted(' '.join(command.words))}")
        for option in command.options:
            flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)
            value = (
                f" -x -a {_quoted(' '.join(option.choices))}" if option.choices else " -r" if option.takes_value else ""
            )
            lines.append(f"{within} {flags}{value} -d {_quoted(option.help)}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """For fish: in single quotes, in which a backslash and a quote are escaped."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
