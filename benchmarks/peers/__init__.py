"""Other libraries at the same work, each in an environment of its own.

``catalogue`` says which, ``environments`` installs them, ``campaign`` runs them in alternating rounds. Each
``run_NAME.py`` is a script that runs in its library's environment and imports nothing of this project.
"""
