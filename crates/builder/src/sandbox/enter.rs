//! A store made visible at its logical path, for programs that are run from it.
