"""Settings of the site, for Sphinx: `make docs` builds build/docs/site; every warning is an error."""

from latens import __version__

project = "latens"
copyright = "The latens authors"  # noqa: A001, Sphinx asks for this name
version = release = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb"]

# Pages are Markdown, shown as they stand in docs/; links to headings are checked.
myst_heading_anchors = 4
nb_execution_mode = "off"  # the notebooks keep their outputs: examples/execute.py
nb_output_stderr = "remove"
nb_merge_streams = True

# The reference is written from the docstrings, whose code stands between single backticks.
default_role = "literal"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"latens {__version__}"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
