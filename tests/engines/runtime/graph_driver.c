/* The CUDA driver's graph functions as the runtime calls them: each call is written down with its arguments, and handles
   are numbers of our own, so that a wrong order of arguments or a cut-off pointer shows. */
#include <stdio.h>
#include <string.h>

static char said[4096];
static int failing;

static int note(const char *name, unsigned long long a, unsigned long long b) {
  snprintf(said + strlen(said), sizeof said - strlen(said), "%s %llx %llx\n", name, a, b);
  return 0;
}

const char *told(void) { return said; }
void reset(int fail) { said[0] = 0; failing = fail; }

int cuStreamBeginCapture_v2(void *stream, int mode) { return note("begin", (unsigned long long)stream, mode); }

int cuStreamEndCapture(void *stream, void **graph) {
  *graph = (void *)0x7f00000000a1ull;
  return note("end", (unsigned long long)stream, 0);
}

int cuGraphInstantiateWithFlags(void **made, void *graph, unsigned long long flags) {
  if (failing) return failing;
  *made = (void *)0x7f00000000b2ull;
  return note("instantiate", (unsigned long long)graph, flags);
}

int cuGraphLaunch(void *made, void *stream) {
  return note("launch", (unsigned long long)made, (unsigned long long)stream);
}

int cuGraphDestroy(void *graph) { return note("destroy", (unsigned long long)graph, 0); }
int cuGraphExecDestroy(void *made) { return note("destroy made", (unsigned long long)made, 0); }
