/* examples/char_windows.h - char_rnn --notebook. */
#ifndef CHAR_WINDOWS_H
#define CHAR_WINDOWS_H

/* A program of its own, with options of its own. Returns the exit status. */
int char_windows(int argc, char **argv);

#endif
