/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Reading an ELF file somebody else made: see elf_file.h.  The only file that
 * parses ELF.  libelf reads (ELF_C_READ) instead of mapping: touching a mapped
 * file that was cut short would raise SIGBUS.
 */
#include "elf_file.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_SEGMENTS 32
#define MAX_HEADERS 256
#define MAX_SECTIONS 4096
#define MAX_SECTION_BYTES (256u << 20)
#define MAX_SEGMENT_BYTES (256u << 20)
#define MAX_SYMBOLS (2u << 20) /* looked at for functions */
#define SYMBOLS_AT_ONCE 256
#define SDT_ADDRESSES 3 /* of the probe, of .stapsdt.base, of the semaphore */

struct elf_file {
	int fd;
	Elf *elf;
	uint64_t size;
	struct elf_segment segments[MAX_SEGMENTS];
	size_t segment_count;
};

/* Does the file hold all of the section? */
static bool in_file(const struct elf_file *elf, const GElf_Shdr *header)
{
	return header->sh_type != SHT_NOBITS && header->sh_offset <= elf->size &&
	       header->sh_size <= elf->size - header->sh_offset;
}

/* Section header and contents, both checked.  Returns NULL if there is something wrong with it. */
static Elf_Data *section_data(const struct elf_file *elf, Elf_Scn *scn, const GElf_Shdr *header)
{
	if (!in_file(elf, header) || header->sh_size > MAX_SECTION_BYTES)
		return NULL;
	return elf_getdata(scn, NULL);
}

/* The next section of a type (SHT_NULL: any), after `scn`. */
static Elf_Scn *next_section(const struct elf_file *elf, Elf_Scn *scn, uint32_t type,
			     GElf_Shdr *header)
{
	while ((scn = elf_nextscn(elf->elf, scn)) && elf_ndxscn(scn) < MAX_SECTIONS) {
		if (gelf_getshdr(scn, header) && (type == SHT_NULL || header->sh_type == type))
			return scn;
	}
	return NULL;
}

static Elf_Scn *named_section(const struct elf_file *elf, const char *name, GElf_Shdr *header)
{
	Elf_Scn *scn = NULL;
	size_t strings;

	if (elf_getshdrstrndx(elf->elf, &strings))
		return NULL;
	while ((scn = next_section(elf, scn, SHT_NULL, header))) {
		const char *found = elf_strptr(elf->elf, strings, header->sh_name);

		if (found && !strcmp(found, name))
			return scn;
	}
	return NULL;
}

static int read_segments(struct elf_file *elf)
{
	size_t count;

	if (elf_getphdrnum(elf->elf, &count))
		return -ENOEXEC;
	for (size_t i = 0; i < count && i < MAX_HEADERS && elf->segment_count < MAX_SEGMENTS; i++) {
		struct elf_segment *segment = &elf->segments[elf->segment_count];
		GElf_Phdr header;

		if (!gelf_getphdr(elf->elf, (int)i, &header))
			return -ENOEXEC;
		if (header.p_type != PT_LOAD || !header.p_filesz)
			continue;
		if (header.p_offset > elf->size || header.p_filesz > elf->size - header.p_offset ||
		    header.p_vaddr > UINT64_MAX - header.p_filesz)
			return -ENOEXEC;
		*segment = (struct elf_segment){
			.vaddr = header.p_vaddr,
			.offset = header.p_offset,
			.size = header.p_filesz,
			.executable = header.p_flags & PF_X,
		};
		elf->segment_count++;
	}
	return elf->segment_count ? 0 : -ENOEXEC;
}

int elf_file__open(int fd, struct elf_file **out)
{
	struct elf_file *elf = NULL;
	GElf_Ehdr header;
	struct stat st;
	int err;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return -ENOTSUP;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOEXEC;
	elf = calloc(1, sizeof(*elf));
	if (!elf)
		return -ENOMEM;
	elf->fd = fd;
	elf->size = (uint64_t)st.st_size;
	err = -ENOEXEC;
	elf->elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf->elf || elf_kind(elf->elf) != ELF_K_ELF || !gelf_getehdr(elf->elf, &header))
		goto cleanup;
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_machine != EM_X86_64 || (header.e_type != ET_EXEC && header.e_type != ET_DYN))
		goto cleanup;
	err = read_segments(elf);
cleanup:
	if (err)
		elf_file__close(elf);
	else
		*out = elf;
	return err;
}

void elf_file__close(struct elf_file *elf)
{
	if (!elf)
		return;
	elf_end(elf->elf);
	free(elf);
}

const struct elf_segment *elf_file__segments(const struct elf_file *elf, size_t *count)
{
	*count = elf->segment_count;
	return elf->segments;
}

/* The segment that holds all of [vaddr, vaddr + length). */
static const struct elf_segment *segment_of(const struct elf_file *elf, uint64_t vaddr,
					    uint64_t length)
{
	for (size_t i = 0; i < elf->segment_count; i++) {
		const struct elf_segment *segment = &elf->segments[i];

		if (vaddr >= segment->vaddr && vaddr - segment->vaddr < segment->size &&
		    length <= segment->size - (vaddr - segment->vaddr))
			return segment;
	}
	return NULL;
}

int elf_file__offset(const struct elf_file *elf, uint64_t vaddr, uint64_t *offset)
{
	const struct elf_segment *segment = segment_of(elf, vaddr, 1);

	if (!segment)
		return -ENOENT;
	*offset = vaddr - segment->vaddr + segment->offset;
	return 0;
}

static int read_at(int fd, void *buffer, size_t length, uint64_t offset)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = pread(fd, (char *)buffer + done, length - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

int elf_file__read(const struct elf_file *elf, uint64_t vaddr, void *buffer, size_t length)
{
	const struct elf_segment *segment = segment_of(elf, vaddr, length);

	if (!segment)
		return -ENOENT;
	return read_at(elf->fd, buffer, length, vaddr - segment->vaddr + segment->offset);
}

/* Look in one symbol table.  Returns 0 or -ENOENT. */
static int find_symbol(const struct elf_file *elf, uint32_t type, const char *name,
		       struct elf_symbol *out)
{
	GElf_Shdr header;
	Elf_Scn *scn = next_section(elf, NULL, type, &header);
	Elf_Data *data = scn ? section_data(elf, scn, &header) : NULL;
	GElf_Sym symbol;

	if (!data)
		return -ENOENT;
	for (int i = 0; gelf_getsym(data, i, &symbol); i++) {
		const char *found;

		if (symbol.st_shndx == SHN_UNDEF || !symbol.st_value)
			continue;
		found = elf_strptr(elf->elf, header.sh_link, symbol.st_name);
		if (!found || strcmp(found, name))
			continue;
		*out = (struct elf_symbol){.vaddr = symbol.st_value, .size = symbol.st_size};
		return 0;
	}
	return -ENOENT;
}

int elf_file__symbol(const struct elf_file *elf, const char *name, struct elf_symbol *out)
{
	if (!find_symbol(elf, SHT_DYNSYM, name, out))
		return 0;
	return find_symbol(elf, SHT_SYMTAB, name, out);
}

bool elf_file__exports(const struct elf_file *elf, const char *name)
{
	struct elf_symbol symbol;

	return !find_symbol(elf, SHT_DYNSYM, name, &symbol);
}

/* The function a symbol stands for.  Returns false if it is none we tell. */
static bool symbol_function(const struct elf_file *elf, const Elf64_Sym *symbol,
			    const struct elf_functions *functions, struct elf_function *out)
{
	const struct elf_segment *segment;
	uint64_t left, size = symbol->st_size;

	if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF || !size ||
	    symbol->st_name >= functions->strings_size)
		return false;
	segment = segment_of(elf, symbol->st_value, 1);
	if (!segment || !segment->executable)
		return false;
	left = segment->size - (symbol->st_value - segment->vaddr);
	if (size > left)
		size = left;
	*out = (struct elf_function){
		.offset = symbol->st_value - segment->vaddr + segment->offset,
		.size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX,
		.name = symbol->st_name,
	};
	return true;
}

static int add_function(struct elf_functions *functions, size_t *room,
			const struct elf_function *function)
{
	if (functions->count == *room) {
		size_t more = *room ? *room * 2 : 64;
		struct elf_function *list = realloc(functions->list, more * sizeof(*list));

		if (!list)
			return -ENOMEM;
		functions->list = list;
		*room = more;
	}
	functions->list[functions->count++] = *function;
	return 0;
}

/*
 * Add the functions of one symbol table.  Read piece by piece and without the
 * names: the tables of large libraries are tens of megabytes.
 */
static int read_functions(const struct elf_file *elf, uint32_t type, size_t max,
			  struct elf_functions *out)
{
	GElf_Shdr table, strings;
	Elf_Scn *scn = next_section(elf, NULL, type, &table), *names;
	Elf64_Sym symbols[SYMBOLS_AT_ONCE];
	size_t count, room = 0;
	int err = 0;

	names = scn ? elf_getscn(elf->elf, table.sh_link) : NULL;
	if (!names || !gelf_getshdr(names, &strings) || strings.sh_type != SHT_STRTAB ||
	    !in_file(elf, &table) || !in_file(elf, &strings))
		return 0;
	out->strings = strings.sh_offset;
	out->strings_size = strings.sh_size;
	count = table.sh_size / sizeof(symbols[0]);
	if (count > MAX_SYMBOLS)
		count = MAX_SYMBOLS;
	for (size_t done = 0; !err && done < count && out->count < max; done += SYMBOLS_AT_ONCE) {
		size_t some = count - done < SYMBOLS_AT_ONCE ? count - done : SYMBOLS_AT_ONCE;
		struct elf_function function;

		err = read_at(elf->fd, symbols, some * sizeof(symbols[0]),
			      table.sh_offset + done * sizeof(symbols[0]));
		for (size_t i = 0; !err && i < some && out->count < max; i++) {
			if (symbol_function(elf, &symbols[i], out, &function))
				err = add_function(out, &room, &function);
		}
	}
	return err;
}

static int compare_functions(const void *a, const void *b)
{
	const struct elf_function *one = a, *other = b;

	if (one->offset != other->offset)
		return one->offset < other->offset ? -1 : 1;
	return (one->name > other->name) - (one->name < other->name);
}

int elf_file__functions(const struct elf_file *elf, size_t max, struct elf_functions *out)
{
	int err;

	*out = (struct elf_functions){0};
	err = read_functions(elf, SHT_SYMTAB, max, out);
	if (!err && !out->count)
		err = read_functions(elf, SHT_DYNSYM, max, out);
	if (err) {
		free(out->list);
		*out = (struct elf_functions){0};
	} else if (out->count) {
		struct elf_function *fit = realloc(out->list, out->count * sizeof(*fit));

		if (fit)
			out->list = fit;
		qsort(out->list, out->count, sizeof(*out->list), compare_functions);
	}
	return err;
}

int elf_functions__name(const struct elf_functions *functions, const struct elf_function *function,
			int fd, char *buffer, size_t size)
{
	uint64_t left = functions->strings_size - function->name;
	int err;

	if (function->name >= functions->strings_size)
		return -EINVAL;
	if (size - 1 < left)
		left = size - 1;
	err = read_at(fd, buffer, left, functions->strings + function->name);
	buffer[err ? 0 : left] = '\0';
	return err;
}

static bool is_import_of(const GElf_Rela *entry, Elf_Data *symbols, Elf *elf, size_t strings,
			 const char *const *names, size_t count)
{
	uint64_t type = GELF_R_TYPE(entry->r_info);
	const char *found;
	GElf_Sym symbol;

	if ((type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) ||
	    !gelf_getsym(symbols, (int)GELF_R_SYM(entry->r_info), &symbol))
		return false;
	found = elf_strptr(elf, strings, symbol.st_name);
	for (size_t i = 0; found && i < count; i++) {
		if (!strcmp(found, names[i]))
			return true;
	}
	return false;
}

size_t elf_file__imports(const struct elf_file *elf, const char *const *names, size_t count,
			 uint64_t *places, size_t size)
{
	GElf_Shdr header, linked;
	Elf_Scn *scn = NULL;
	size_t used = 0;

	while ((scn = next_section(elf, scn, SHT_RELA, &header))) {
		Elf_Scn *table = elf_getscn(elf->elf, header.sh_link);
		Elf_Data *data = section_data(elf, scn, &header), *symbols;
		GElf_Rela entry;

		if (!data || !table || !gelf_getshdr(table, &linked) ||
		    linked.sh_type != SHT_DYNSYM)
			continue;
		symbols = section_data(elf, table, &linked);
		for (int i = 0; symbols && used < size && gelf_getrela(data, i, &entry); i++) {
			if (is_import_of(&entry, symbols, elf->elf, linked.sh_link, names, count))
				places[used++] = entry.r_offset;
		}
	}
	return used;
}

size_t elf_file__build_id(const struct elf_file *elf, uint8_t *buffer, size_t size)
{
	GElf_Shdr header;
	Elf_Scn *scn = NULL;

	while ((scn = next_section(elf, scn, SHT_NOTE, &header))) {
		Elf_Data *data = section_data(elf, scn, &header);
		size_t at = 0, next, name, desc;
		GElf_Nhdr note;

		while (data && (next = gelf_getnote(data, at, &note, &name, &desc)) > 0) {
			if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
			    !memcmp((char *)data->d_buf + name, "GNU", 4) && note.n_descsz &&
			    note.n_descsz <= size) {
				memcpy(buffer, (char *)data->d_buf + desc, note.n_descsz);
				return note.n_descsz;
			}
			at = next;
		}
	}
	return 0;
}

bool elf_file__needs(const struct elf_file *elf, const char *prefix)
{
	GElf_Shdr header;
	Elf_Scn *scn = next_section(elf, NULL, SHT_DYNAMIC, &header);
	Elf_Data *data = scn ? section_data(elf, scn, &header) : NULL;
	GElf_Dyn entry;

	for (int i = 0; data && gelf_getdyn(data, i, &entry) && entry.d_tag != DT_NULL; i++) {
		const char *name;

		if (entry.d_tag != DT_NEEDED)
			continue;
		name = elf_strptr(elf->elf, header.sh_link, entry.d_un.d_val);
		if (name && !strncmp(name, prefix, strlen(prefix)))
			return true;
	}
	return false;
}

/* What a relocation puts in its place at load bias 0.  False: nothing we know. */
static bool relocated_value(const GElf_Rela *entry, Elf_Data *symbols, uint64_t *value)
{
	GElf_Sym symbol;

	switch (GELF_R_TYPE(entry->r_info)) {
	case R_X86_64_RELATIVE:
		*value = (uint64_t)entry->r_addend;
		return true;
	case R_X86_64_64:
		if (!symbols || !gelf_getsym(symbols, (int)GELF_R_SYM(entry->r_info), &symbol) ||
		    symbol.st_shndx == SHN_UNDEF)
			return false;
		*value = symbol.st_value + (uint64_t)entry->r_addend;
		return true;
	}
	return false;
}

/* Packed relative relocations (SHT_RELR) leave the address in place: nothing to do for them. */
static void relocate(const struct elf_file *elf, const struct elf_segment *segment, uint8_t *bytes)
{
	GElf_Shdr header, symbols_header;
	Elf_Scn *scn = NULL;

	while ((scn = next_section(elf, scn, SHT_RELA, &header))) {
		Elf_Data *data = section_data(elf, scn, &header);
		Elf_Scn *linked = elf_getscn(elf->elf, header.sh_link);
		Elf_Data *symbols = NULL;
		GElf_Rela entry;

		if (linked && gelf_getshdr(linked, &symbols_header) &&
		    symbols_header.sh_type == SHT_DYNSYM)
			symbols = section_data(elf, linked, &symbols_header);
		for (int i = 0; data && gelf_getrela(data, i, &entry); i++) {
			uint64_t at = entry.r_offset - segment->vaddr, value;

			if (entry.r_offset < segment->vaddr || segment->size < sizeof(value) ||
			    at > segment->size - sizeof(value))
				continue;
			if (relocated_value(&entry, symbols, &value))
				memcpy(bytes + at, &value, sizeof(value));
		}
	}
}

bool elf_file__is_program(const struct elf_file *elf)
{
	GElf_Ehdr header;
	GElf_Phdr segment;
	size_t count;

	if (!gelf_getehdr(elf->elf, &header) || elf_getphdrnum(elf->elf, &count))
		return false;
	if (header.e_type == ET_EXEC)
		return true;
	for (size_t i = 0; i < count && i < MAX_HEADERS; i++) {
		if (gelf_getphdr(elf->elf, (int)i, &segment) && segment.p_type == PT_INTERP)
			return true;
	}
	return false;
}

int elf_file__bytes(const struct elf_file *elf, const struct elf_segment *segment, uint8_t **bytes)
{
	uint8_t *copy;
	int err;

	if (segment->size > MAX_SEGMENT_BYTES)
		return -EFBIG;
	copy = malloc(segment->size);
	if (!copy)
		return -ENOMEM;
	err = read_at(elf->fd, copy, segment->size, segment->offset);
	if (err)
		free(copy);
	else
		*bytes = copy;
	return err;
}

int elf_file__image(const struct elf_file *elf, const struct elf_segment *segment, uint8_t **bytes)
{
	int err = elf_file__bytes(elf, segment, bytes);

	if (!err && !segment->executable)
		relocate(elf, segment, *bytes);
	return err;
}

/*
 * One note of <sys/sdt.h>: three addresses, then provider, name and arguments,
 * each ended by a NUL.  Returns false if it is not that.
 */
static bool parse_probe(const struct elf_file *elf, const char *desc, size_t length, uint64_t base,
			struct elf_probe *out)
{
	uint64_t address[SDT_ADDRESSES], shift;
	size_t provider, name, arguments;

	if (length <= sizeof(address))
		return false;
	memcpy(address, desc, sizeof(address));
	desc += sizeof(address);
	length -= sizeof(address);
	provider = strnlen(desc, length);
	if (provider == length)
		return false;
	name = strnlen(desc + provider + 1, length - provider - 1);
	if (name == length - provider - 1)
		return false;
	arguments = provider + name + 2;
	if (memchr(desc + arguments, '\0', length - arguments) == NULL)
		arguments--; /* the name's end, in place of what is cut off */
	/* What prelink or a linker moved since: base is where .stapsdt.base is now. */
	shift = base ? base - address[1] : 0;
	*out = (struct elf_probe){
		.provider = desc,
		.name = desc + provider + 1,
		.arguments = desc + arguments,
		.vaddr = address[0] + shift,
	};
	if (!address[2])
		return true;
	return !elf_file__offset(elf, address[2] + shift, &out->semaphore);
}

int elf_file__probes(const struct elf_file *elf,
		     int (*each)(const struct elf_probe *probe, void *arg), void *arg)
{
	GElf_Shdr header, base = {0};
	Elf_Scn *scn = named_section(elf, ".note.stapsdt", &header);
	Elf_Data *data = scn ? section_data(elf, scn, &header) : NULL;
	size_t at = 0, next, name, desc;
	struct elf_probe probe;
	GElf_Nhdr note;
	int err;

	if (!named_section(elf, ".stapsdt.base", &base))
		base.sh_addr = 0;
	while (data && (next = gelf_getnote(data, at, &note, &name, &desc)) > 0) {
		at = next;
		if (!parse_probe(elf, (char *)data->d_buf + desc, note.n_descsz, base.sh_addr,
				 &probe))
			continue;
		err = each(&probe, arg);
		if (err)
			return err;
	}
	return 0;
}
