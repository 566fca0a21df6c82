// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096
#define CHAINS 1024

struct page {
	struct page *next;
	uint64_t number;
	uint8_t bytes[PAGE];
	uint8_t known[PAGE];
};

struct image {
	struct page *chains[CHAINS];
};

struct image *image__new(void)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		abort();
	return image;
}

void image__free(struct image *image)
{
	for (size_t i = 0; image && i < CHAINS; i++) {
		while (image->chains[i]) {
			struct page *page = image->chains[i];

			image->chains[i] = page->next;
			free(page);
		}
	}
	free(image);
}

static struct page *page_of(struct image *image, uint64_t address, bool make)
{
	uint64_t number = address / PAGE;
	struct page **chain = &image->chains[(number ^ number >> 10) % CHAINS], *page;

	for (page = *chain; page; page = page->next)
		if (page->number == number)
			return page;
	if (!make)
		return NULL;
	page = calloc(1, sizeof(*page));
	if (!page)
		abort();
	page->number = number;
	page->next = *chain;
	*chain = page;
	return page;
}

void image__write(struct image *image, uint64_t address, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		struct page *page = page_of(image, address + i, true);

		page->bytes[(address + i) % PAGE] = ((const uint8_t *)from)[i];
		page->known[(address + i) % PAGE] = 1;
	}
}

void image__forget(struct image *image, uint64_t address, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		struct page *page = page_of(image, address + i, false);

		if (page)
			page->known[(address + i) % PAGE] = 0;
	}
}

int image__read(void *arg, uint64_t address, void *to, size_t size)
{
	struct image *image = arg;

	for (size_t i = 0; i < size; i++) {
		struct page *page = page_of(image, address + i, false);

		if (!page || !page->known[(address + i) % PAGE])
			return -EFAULT;
		((uint8_t *)to)[i] = page->bytes[(address + i) % PAGE];
	}
	return 0;
}

bool image__knows(struct image *image, uint64_t address)
{
	struct page *page = page_of(image, address, false);

	return page && page->known[address % PAGE];
}

bool image__holds(struct image *image, uint64_t address, uint8_t byte)
{
	struct page *page = page_of(image, address, false);

	return page && page->known[address % PAGE] && page->bytes[address % PAGE] == byte;
}
