/* A stand-in for the source in the git submodule. */
