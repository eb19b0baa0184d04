/*
 * Stands in for a compiled program where there is no base binary of `deno compile`: has DENO run the
 * script of WORDS under the name that the caller used, and tells it which file is the program.
 */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
  static char self[4096];
  char *words[] = {WORDS};
  const int known = sizeof words / sizeof *words;
  if (argc < 1 || readlink("/proc/self/exe", self, sizeof self - 1) < 0) {
    perror("launcher: /proc/self/exe");
    return 127;
  }
  char *args[known + argc + 2];
  int n = 0;
  args[n++] = argv[0];
  for (int i = 0; i < known; i++) args[n++] = words[i];
  args[n++] = self;
  for (int i = 1; i < argc; i++) args[n++] = argv[i];
  args[n] = NULL;
  execv(DENO, args);
  perror("launcher: " DENO);
  return 127;
}
