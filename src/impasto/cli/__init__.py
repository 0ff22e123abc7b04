"""The command line: parse -> options -> library -> write. No module of it imports torch before a command needs it."""
