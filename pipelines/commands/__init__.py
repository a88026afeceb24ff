"""One module a command: ``add_parser`` declares its options, ``execute`` does the work.

The modules import nothing heavy at the top; what a command needs is imported when it runs.
"""
