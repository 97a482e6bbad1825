/* Libraries that do harm, or nothing, when they are loaded: BAD_KIND says which. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define CRASH 1
#define HANG 2
#define NOISE 3
#define STRANGER 4
#define LEAVES_CHILD 5

int bad_kind(void) { return BAD_KIND; }

#if BAD_KIND != STRANGER
__attribute__((constructor)) static void loaded(void) {
#if BAD_KIND == CRASH
  fputs("about to crash\n", stderr);
  raise(SIGABRT);
#elif BAD_KIND == HANG
  for (;;) pause();
#elif BAD_KIND == NOISE
  for (;;) puts("noise noise noise noise noise noise noise noise noise noise noise noise noise noise noise");
#elif BAD_KIND == LEAVES_CHILD
  if (fork() == 0) {
    for (;;) pause();
  }
#endif
}
#endif
