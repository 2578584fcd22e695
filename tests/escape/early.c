/* A library that runs before any other code of a program that it is preloaded into, and says what it could do there. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void early(void) {
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) {
        return;
    }
    fprintf(stderr, "early: user %u", (unsigned)getuid());
    while (fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "CapPrm", 6) == 0 || strncmp(line, "NoNewPrivs", 10) == 0 || strncmp(line, "Seccomp:", 8) == 0) {
            line[strcspn(line, "\n")] = '\0';
            fprintf(stderr, " %s", line);
        }
    }
    fprintf(stderr, "\n");
    fclose(status);
}
