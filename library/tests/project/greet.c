#include "greet.h"
#include "greeting.h"
const char *greet(void) { return GREETING; }
