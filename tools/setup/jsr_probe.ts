// Can JSR be reached? ./dev asks Deno to load this file.
import "jsr:@std/path@1.1.6";
