//! Words of the command line: durations, sizes, globs, operations.
