#pragma once

#include <stdio.h>
#include <stdlib.h>

static _Noreturn void fail(const char *what) {
  perror(what);
  exit(1);
}
