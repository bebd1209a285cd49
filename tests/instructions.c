/* A plugin of QEMU: writes how many instructions a program ran to the file that COUNT names.
 *
 * What it uses of `qemu-plugin.h`, which Debian does not package, is declared here. API is the version of that interface. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct qemu_plugin_tb;
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t, void (*)(uint64_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
extern void qemu_plugin_register_atexit_cb(uint64_t, void (*)(uint64_t, void *), void *);

int qemu_plugin_version = API;
static uint64_t instructions;

static void ran(unsigned processor, void *count) { instructions += (uintptr_t)count; }

static void translated(uint64_t plugin, struct qemu_plugin_tb *block) {
  qemu_plugin_register_vcpu_tb_exec_cb(block, ran, 0, (void *)qemu_plugin_tb_n_insns(block));
}

static void ended(uint64_t plugin, void *none) {
  FILE *out = fopen(getenv("COUNT"), "w");
  fprintf(out, "%llu\n", (unsigned long long)instructions);
  fclose(out);
}

int qemu_plugin_install(uint64_t plugin, const void *info, int arguments, char **values) {
  qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
  qemu_plugin_register_atexit_cb(plugin, ended, NULL);
  return 0;
}
