"""What the tests of `latens.isolated` let a process of its own do."""

import ctypes
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import torch

from latens.errors import ImagesDamaged


def write(path, text):
    Path(path).write_text(text)


def connect():
    socket.create_connection(("127.0.0.1", 9), timeout=1)


def connect_quietly():
    try:
        connect()
    except OSError:
        return


def look_up():
    socket.getaddrinfo("localhost", 80)


def start_a_program():
    subprocess.run(["true"])


def run_in_a_shell():
    os.system("true")


def ask_the_machine(path):
    Path(path).write_text(platform.processor() or "-")


def take_memory():
    bytearray(1 << 31)


def take_memory_by_torch():
    torch.zeros(1 << 30)


def crash():
    ctypes.string_at(0)


def end():
    os._exit(7)


def refuse():
    raise ImagesDamaged("x.png: broken")


def fail():
    raise ValueError("two\nlines")


def interfaces(path):
    Path(path).write_text(" ".join(name for _, name in socket.if_nameindex()))


def where(path):
    Path(path).write_text(sys.modules["latens"].__file__)


def work_for_ever():
    while True:
        pass
