/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A small ELF file that looks like a shared CPython to user/discover: symbols,
 * notes, relocations, a dispatch table and handlers, and nothing that runs.
 */
#ifndef PYTRACE_TEST_DISCOVER_ELF_H
#define PYTRACE_TEST_DISCOVER_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/discover/tables.h"
#include "../../user/discover/tables.inc"

#define SMALL_BYTES 0x8000
/* Where things are in the file. */
#define SMALL_RODATA 0x1000
#define SMALL_TEXT 0x2000
#define SMALL_DATA 0x4000
#define SMALL_TABLE (SMALL_DATA + 0x1000)
#define SMALL_SEMAPHORES (SMALL_DATA + 0x1f00)
#define SMALL_META 0x6800 /* not loaded */
#define SMALL_SECTIONS 0x7c00
/* Where the two last segments are in memory, from where they are in the file. */
#define SMALL_TEXT_SHIFT 0x10000
#define SMALL_DATA_SHIFT 0x20000

#define SMALL_HANDLER_BYTES 16
#define SMALL_UNDEFINED (SMALL_TEXT + SMALL_TEXT_SHIFT)
#define SMALL_HANDLER(op) (SMALL_UNDEFINED + SMALL_HANDLER_BYTES * (1 + (op)))
#define SMALL_UNWIND (SMALL_HANDLER(256))
#define SMALL_EVAL (SMALL_UNWIND + 64)
#define SMALL_COLD (SMALL_EVAL + 64)
#define SMALL_USDT (SMALL_COLD + 64)
/* Up to 3.10 */
#define SMALL_ENTRY (SMALL_EVAL + 16)
#define SMALL_LEAVE (SMALL_COLD + 11)

struct small_elf {
	unsigned int hex; /* Py_Version; 0: not exported */
	unsigned int nogil;
	const struct py_version_row *row; /* table, debug offsets; NULL: none of these */
	const char *strings[4];           /* into .rodata, NUL between them */
	const char *extra_symbol;
	const char *needs[2]; /* libraries */
	bool no_eval_symbol;
	bool usdt;
	uint64_t sdt_shift; /* .stapsdt.base is so far from where the notes say */
	uint8_t bytes[SMALL_BYTES];
	/* while it is made */
	size_t meta;
	Elf64_Shdr sections[12];
	unsigned int section_count;
	char names[256];
	size_t name_bytes;
};

static inline const struct py_version_row *small_row(unsigned int minor, unsigned int nogil)
{
	for (size_t i = 0; i < sizeof(py_version_rows) / sizeof(py_version_rows[0]); i++) {
		if (py_version_rows[i].minor == minor && py_version_rows[i].nogil == nogil)
			return &py_version_rows[i];
	}
	return NULL;
}

static void small_put(struct small_elf *s, uint64_t at, const void *bytes, size_t size)
{
	memcpy(s->bytes + at, bytes, size);
}

static void small_put64(struct small_elf *s, uint64_t at, uint64_t value)
{
	small_put(s, at, &value, sizeof(value));
}

/* A direct jump from one place of the code to another. */
static void small_jump(struct small_elf *s, uint64_t from, uint64_t to)
{
	uint8_t jump[5] = {0xe9};
	int32_t distance = (int32_t)(to - (from + sizeof(jump)));

	memcpy(jump + 1, &distance, sizeof(distance));
	small_put(s, from - SMALL_TEXT_SHIFT, jump, sizeof(jump));
}

static Elf64_Shdr *small_section(struct small_elf *s, const char *name, uint32_t type,
				 uint64_t offset, uint64_t size)
{
	Elf64_Shdr *header = &s->sections[s->section_count++];

	*header = (Elf64_Shdr){.sh_name = (Elf64_Word)s->name_bytes,
			       .sh_type = type,
			       .sh_offset = offset,
			       .sh_size = size,
			       .sh_addralign = 4};
	memcpy(s->names + s->name_bytes, name, strlen(name) + 1);
	s->name_bytes += strlen(name) + 1;
	return header;
}

/* Space for a section that is not loaded. */
static uint64_t small_meta(struct small_elf *s, size_t size)
{
	uint64_t at = s->meta;

	s->meta += (size + 15) & ~15ul;
	return at;
}

/* Tracepoints and the function that raises: in all versions. */
static void small_common_code(struct small_elf *s)
{
	static const uint8_t undefined[] = {0x0f, 0x0b};                            /* ud2 */
	static const uint8_t unwind[] = {0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0x57, 0xc3}; /* push %r15 */
	static const uint8_t usdt[] = {0x31, 0xc0, 0x90, 0x31, 0xc0, 0x90, 0xc3};

	small_put(s, SMALL_UNDEFINED - SMALL_TEXT_SHIFT, undefined, sizeof(undefined));
	small_put(s, SMALL_UNWIND - SMALL_TEXT_SHIFT, unwind, sizeof(unwind));
	small_put(s, SMALL_USDT - SMALL_TEXT_SHIFT, usdt, sizeof(usdt));
}

/*
 * Up to 3.10: the frame is made the current one before the first opcode; opcodes that
 * return or suspend go to one place, which makes its caller that.
 */
static void small_frame_eval(struct small_elf *s)
{
	uint8_t eval[] = {
		0x53,                   /* push %rbx */
		0x48, 0x89, 0xf3,       /* mov %rsi, %rbx: the frame */
		0x83, 0x7f, 0x20, 0x64, /* cmpl $100, 32(%rdi) */
		0x7f, 0x0c,             /* jg too_deep */
		0x48, 0x89, 0x5f, 0x18, /* mov %rbx, 24(%rdi) */
		0x85, 0xc0,             /* test %eax, %eax */
		0x74, 0x02,             /* SMALL_ENTRY: je next */
		0xff, 0xe0,             /* jmp *%rax */
		0xff, 0xe0,             /* next: jmp *%rax */
		0x31, 0xc0,             /* too_deep: xor %eax, %eax */
		0x5b, 0xc3,             /* pop %rbx; ret */
	};
	static const uint8_t leave[] = {
		0x48, 0x8b, 0x43, 0x18, /* mov 24(%rbx), %rax */
		0x48, 0x89, 0x45, 0x18, /* mov %rax, 24(%rbp) */
		0x4d, 0x85, 0xff,       /* test %r15, %r15 */
		0x74, 0x01, 0x90,       /* SMALL_LEAVE: je next; nop */
		0x5b, 0xc3,             /* next: pop %rbx; ret */
	};
	static const uint8_t plain[] = {0x48, 0x89, 0xc3, 0xff, 0xe0}; /* mov; jmp *%rax */

	if (!s->row->frame_argument)
		eval[3] = 0xfb; /* mov %rdi, %rbx */
	small_put(s, SMALL_EVAL - SMALL_TEXT_SHIFT, eval, sizeof(eval));
	small_put(s, SMALL_COLD - SMALL_TEXT_SHIFT, leave, sizeof(leave));
	for (unsigned int op = 0; op < 256; op++)
		small_put(s, SMALL_HANDLER(op) - SMALL_TEXT_SHIFT, plain, sizeof(plain));
	for (unsigned int i = 0; i < s->row->opcodes->count; i++)
		small_jump(s, SMALL_HANDLER(s->row->opcodes->ops[i].op), SMALL_COLD);
}

static void small_code(struct small_elf *s)
{
	static const uint8_t plain[] = {0x48, 0x89, 0xc3, 0xff, 0xe0}; /* mov; jmp *%rax */
	static const uint8_t branch[] = {0x48, 0x89, 0xc3, 0x85, 0xc0, 0x74, 0x00, 0xff, 0xe0};
	/* spill %edx, call, reload into %ebx, test, jne COLD, jmp *%rax */
	static const uint8_t eval[] = {0x55, 0x89, 0x55, 0xf8, 0xff, 0xd0, 0x8b, 0x5d,
				       0xf8, 0x85, 0xdb, 0x8d, 0x50, 0xff, 0x0f, 0x85,
				       44,   0,    0,    0,    0xff, 0xe0};
	static const uint8_t cold[] = {0x31, 0xc0, 0x50, 0xff, 0xe0}; /* xor; push; jmp */
	uint64_t shift = SMALL_TEXT_SHIFT;

	small_common_code(s);
	if (s->row && s->row->frame_argument != LAYOUT_ABSENT) {
		small_frame_eval(s);
		return;
	}
	for (unsigned int op = 0; op < 256; op++)
		small_put(s, SMALL_HANDLER(op) - shift, plain, sizeof(plain));
	for (unsigned int i = 0; s->row && i < s->row->opcodes->count; i++) {
		const struct py_opcode *op = &s->row->opcodes->ops[i];

		if (op->event != PY_OP_YIELD)
			small_put(s, SMALL_HANDLER(op->op) - shift, branch, sizeof(branch));
	}
	small_put(s, SMALL_EVAL - shift, eval, sizeof(eval));
	small_put(s, SMALL_COLD - shift, cold, sizeof(cold));
}

/* _PyRuntime with its debug offsets, and Py_Version behind it. */
static void small_runtime(struct small_elf *s)
{
	const struct py_debug_map *map = s->row ? s->row->debug : NULL;

	small_put64(s, SMALL_DATA + 0xff8, s->hex);
	if (!map)
		return;
	small_put(s, SMALL_DATA, "xdebugpy", 8);
	small_put64(s, SMALL_DATA + map->version, s->hex);
	small_put64(s, SMALL_DATA + map->free_threaded, s->nogil);
	for (unsigned int i = 0; i < map->count; i++) {
		const struct py_debug_field *f = &map->fields[i];

		small_put64(s, SMALL_DATA + f->at, 8 * (i + 1));
		if (f->base != PY_DEBUG_NO_BASE)
			small_put64(s, SMALL_DATA + f->base, 8);
		if (f->field == offsetof(struct py_layout, unicode_ascii_data))
			small_put64(s, SMALL_DATA + f->at, 40);
		if (f->field == offsetof(struct py_layout, unicode_compact_data))
			small_put64(s, SMALL_DATA + f->at, 56);
	}
}

/* The dispatch table is in the relocations; the data it goes to stays zero. */
static void small_table(struct small_elf *s)
{
	uint64_t at = 0x6000;
	size_t count = 0;
	Elf64_Rela entry;

	for (unsigned int op = 0; s->row && op < 256; op++) {
		bool defined = s->row->opcodes->defined[op >> 3] & 1u << (op & 7);

		entry = (Elf64_Rela){
			.r_offset = SMALL_TABLE + SMALL_DATA_SHIFT + 8 * op,
			.r_info = ELF64_R_INFO(0, R_X86_64_RELATIVE),
			.r_addend = defined ? SMALL_HANDLER(op) : SMALL_UNDEFINED,
		};
		/* what does not fit is stored as packed relocations would leave it */
		if (count < (SMALL_META - 0x6000) / sizeof(entry))
			small_put(s, at + count++ * sizeof(entry), &entry, sizeof(entry));
		else
			small_put64(s, SMALL_TABLE + 8 * op, (uint64_t)entry.r_addend);
	}
	if (count)
		small_section(s, ".rela.dyn", SHT_RELA, at, count * sizeof(entry))->sh_entsize =
			sizeof(entry);
}

static void small_symbols(struct small_elf *s)
{
	const struct {
		const char *name;
		uint64_t value, size;
		unsigned char type;
	} symbols[] = {
		{"_PyRuntime", SMALL_DATA + SMALL_DATA_SHIFT, 0xf00, STT_OBJECT},
		{"PyTraceBack_Here", SMALL_UNWIND, 0xf00, STT_FUNC},
		{s->no_eval_symbol ? NULL : "_PyEval_EvalFrameDefault", SMALL_EVAL,
		 SMALL_COLD - SMALL_EVAL, STT_FUNC},
		{s->hex ? "Py_Version" : NULL, SMALL_DATA + SMALL_DATA_SHIFT + 0xff8, 0xf00,
		 STT_OBJECT},
		{s->extra_symbol, SMALL_UNDEFINED, 0xf00, STT_NOTYPE},
	};
	uint64_t table = small_meta(s, 6 * sizeof(Elf64_Sym)), strings = small_meta(s, 256);
	size_t used = 1, count = 1;
	Elf64_Shdr *header;

	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		Elf64_Sym symbol = {.st_name = (Elf64_Word)used,
				    .st_value = symbols[i].value,
				    .st_shndx = 1,
				    .st_info = ELF64_ST_INFO(STB_GLOBAL, symbols[i].type),
				    .st_size = symbols[i].size};

		if (!symbols[i].name)
			continue;
		small_put(s, table + count++ * sizeof(symbol), &symbol, sizeof(symbol));
		small_put(s, strings + used, symbols[i].name, strlen(symbols[i].name));
		used += strlen(symbols[i].name) + 1;
	}
	small_section(s, ".dynstr", SHT_STRTAB, strings, used);
	header = small_section(s, ".dynsym", SHT_DYNSYM, table, count * sizeof(Elf64_Sym));
	header->sh_link = s->section_count - 2;
	header->sh_entsize = sizeof(Elf64_Sym);
}

static void small_note(struct small_elf *s, uint64_t *at, const char *name, uint64_t vaddr,
		       uint64_t semaphore)
{
	const uint64_t base = SMALL_RODATA + 0x800 - s->sdt_shift;
	uint64_t addresses[3] = {vaddr - s->sdt_shift, base,
				 semaphore ? semaphore - s->sdt_shift : 0};
	char text[64];
	Elf64_Nhdr note = {.n_namesz = 8, .n_type = 3};
	int length;

	length = snprintf(text, sizeof(text), "python%c%s%c8@%%rax", 0, name, 0) + 1;
	note.n_descsz = (Elf64_Word)(sizeof(addresses) + (size_t)length);
	small_put(s, *at, &note, sizeof(note));
	small_put(s, *at + sizeof(note), "stapsdt", 8);
	small_put(s, *at + sizeof(note) + 8, addresses, sizeof(addresses));
	small_put(s, *at + sizeof(note) + 8 + sizeof(addresses), text, (size_t)length);
	*at += sizeof(note) + 8 + ((note.n_descsz + 3) & ~3u);
}

static void small_notes(struct small_elf *s)
{
	uint64_t at = small_meta(s, 512), start = at;
	const uint64_t semaphores = SMALL_SEMAPHORES + SMALL_DATA_SHIFT;

	if (!s->usdt)
		return;
	small_note(s, &at, "gc__start", SMALL_USDT, 0);
	small_note(s, &at, "function__entry", SMALL_USDT + 2, semaphores);
	small_note(s, &at, "function__return", SMALL_USDT + 5, semaphores + 2);
	small_section(s, ".note.stapsdt", SHT_NOTE, start, at - start);
	small_section(s, ".stapsdt.base", SHT_PROGBITS, SMALL_RODATA + 0x800, 1)->sh_addr =
		SMALL_RODATA + 0x800;
}

static void small_build_id(struct small_elf *s)
{
	Elf64_Nhdr note = {.n_namesz = 4, .n_descsz = 20, .n_type = NT_GNU_BUILD_ID};
	uint64_t at = small_meta(s, 64);

	small_put(s, at, &note, sizeof(note));
	small_put(s, at + sizeof(note), "GNU\0abcdefghijklmnopqrst", 24);
	small_section(s, ".note.gnu.build-id", SHT_NOTE, at, sizeof(note) + 24);
}

/* Which libraries it needs. */
static void small_dynamic(struct small_elf *s)
{
	uint64_t at = small_meta(s, 3 * sizeof(Elf64_Dyn)), strings = small_meta(s, 64), used = 1;
	unsigned int count = 0;
	Elf64_Shdr *header;

	for (; count < 2 && s->needs[count]; count++) {
		Elf64_Dyn entry = {.d_tag = DT_NEEDED, .d_un.d_val = used};

		small_put(s, at + count * sizeof(entry), &entry, sizeof(entry));
		small_put(s, strings + used, s->needs[count], strlen(s->needs[count]));
		used += strlen(s->needs[count]) + 1;
	}
	if (!count)
		return;
	small_section(s, ".libraries", SHT_STRTAB, strings, used);
	header = small_section(s, ".dynamic", SHT_DYNAMIC, at, (count + 1) * sizeof(Elf64_Dyn));
	header->sh_link = s->section_count - 2;
	header->sh_entsize = sizeof(Elf64_Dyn);
}

/* Fill s->bytes from the fields before it. */
static void small_elf_make(struct small_elf *s)
{
	const Elf64_Phdr segments[] = {
		{.p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = SMALL_TEXT, .p_memsz = SMALL_TEXT},
		{.p_type = PT_LOAD,
		 .p_flags = PF_R | PF_X,
		 .p_offset = SMALL_TEXT,
		 .p_vaddr = SMALL_TEXT + SMALL_TEXT_SHIFT,
		 .p_filesz = SMALL_DATA - SMALL_TEXT,
		 .p_memsz = SMALL_DATA - SMALL_TEXT},
		{.p_type = PT_LOAD,
		 .p_flags = PF_R | PF_W,
		 .p_offset = SMALL_DATA,
		 .p_vaddr = SMALL_DATA + SMALL_DATA_SHIFT,
		 .p_filesz = 0x2000,
		 .p_memsz = 0x3000},
	};
	Elf64_Ehdr header = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_shoff = SMALL_SECTIONS,
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 3,
		.e_shentsize = sizeof(Elf64_Shdr),
	};
	uint64_t names, at = SMALL_RODATA;

	s->meta = SMALL_META;
	small_section(s, "", SHT_NULL, 0, 0);
	small_code(s);
	small_runtime(s);
	small_table(s);
	small_symbols(s);
	small_notes(s);
	small_build_id(s);
	small_dynamic(s);
	for (int i = 0; i < 4 && s->strings[i]; i++) {
		small_put(s, at, s->strings[i], strlen(s->strings[i]));
		at += strlen(s->strings[i]) + 1;
	}
	names = small_meta(s, sizeof(s->names));
	small_section(s, ".shstrtab", SHT_STRTAB, names, sizeof(s->names));
	small_put(s, names, s->names, sizeof(s->names));
	header.e_shnum = (Elf64_Half)s->section_count;
	header.e_shstrndx = (Elf64_Half)(s->section_count - 1);
	small_put(s, SMALL_SECTIONS, s->sections, s->section_count * sizeof(Elf64_Shdr));
	small_put(s, sizeof(header), segments, sizeof(segments));
	small_put(s, 0, &header, sizeof(header));
}

/* The bytes as an open file, or -1. */
static int small_elf_open(const void *bytes, size_t size)
{
	int fd = memfd_create("small-elf", MFD_CLOEXEC);

	if (fd >= 0 && (write(fd, bytes, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* A library with one function name, `count` times, over its first KiB; open, or -1. */
static inline int large_elf_open(size_t count)
{
	static const char names[] = "\0large";
	Elf64_Ehdr header = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_shoff = 512,
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 3,
	};
	const Elf64_Phdr code = {.p_type = PT_LOAD, .p_flags = PF_X, .p_filesz = 1024};
	const Elf64_Shdr sections[3] = {
		{0},
		{.sh_type = SHT_SYMTAB,
		 .sh_offset = 1024,
		 .sh_size = count * sizeof(Elf64_Sym),
		 .sh_entsize = sizeof(Elf64_Sym),
		 .sh_link = 2},
		{.sh_type = SHT_STRTAB, .sh_offset = 800, .sh_size = sizeof(names)},
	};
	size_t size = 1024 + count * sizeof(Elf64_Sym);
	uint8_t *bytes = calloc(1, size);
	int fd;

	if (!bytes)
		return -1;
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), &code, sizeof(code));
	memcpy(bytes + 512, sections, sizeof(sections));
	memcpy(bytes + 800, names, sizeof(names));
	for (size_t i = 0; i < count; i++) {
		Elf64_Sym symbol = {.st_name = 1,
				    .st_info = STT_FUNC,
				    .st_shndx = 1,
				    .st_value = 1 + i * 7919 % 1000,
				    .st_size = 5};

		memcpy(bytes + 1024 + i * sizeof(symbol), &symbol, sizeof(symbol));
	}
	fd = small_elf_open(bytes, size);
	free(bytes);
	return fd;
}

#endif
