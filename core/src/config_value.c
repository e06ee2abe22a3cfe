/* SPDX-License-Identifier: MIT */
/* Configuration values: from text to number and back, with a sentence for what is wrong. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <moirai/core/clock.h>

#include "config_internal.h"
#include "text_internal.h"

struct config_unit {
	const char *name;
	uint64_t factor;
};

/* Largest first, so that the canonical text takes the largest unit that divides the value. */
static const struct config_unit config_size_units[] = {
	{"T", 1ull << 40},
	{"G", 1 << 30},
	{"M", 1 << 20},
	{"K", 1 << 10},
	{"", 1},
	/* Read, never written. */
	{"TiB", 1ull << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"B", 1},
};
static const struct config_unit config_duration_units[] = {
	{"s", MOIRAI_S},
	{"ms", MOIRAI_MS},
	{"us", MOIRAI_US},
	{"ns", MOIRAI_NS},
};

static bool config_is(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && memcmp(text, word, length) == 0;
}

static int config_wrong(char *why, const char *what)
{
	snprintf(why, CONFIG_WHY_MAX, "%s", what);
	return -EINVAL;
}

static int config_digit(char c, unsigned base)
{
	int digit = c >= '0' && c <= '9'   ? c - '0'
		    : c >= 'a' && c <= 'f' ? c - 'a' + 10
		    : c >= 'A' && c <= 'F' ? c - 'A' + 10
					   : 99;
	return digit < (int)base ? digit : -1;
}

/* The digits at the start of text: how many there are, 0 for none or when it overflows. */
static size_t config_digits(const char *text, size_t length, unsigned base, uint64_t *value)
{
	size_t i = 0;
	*value = 0;
	for (; i < length; i++) {
		int digit = config_digit(text[i], base);
		if (digit < 0)
			break;
		if (__builtin_mul_overflow(*value, (uint64_t)base, value) ||
			__builtin_add_overflow(*value, (uint64_t)digit, value))
			return 0;
	}
	return i;
}

static int config_parse_bool(const char *text, size_t length, int64_t *number, char *why)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(words); i++) {
		if (config_is(text, length, words[i])) {
			*number = (int64_t)(i & 1);
			return 0;
		}
	}
	return config_wrong(why, "is no boolean (true, false, yes, no, on, off, 1, 0)");
}

static int config_parse_int(const char *text, size_t length, int64_t *number, char *why)
{
	bool negative = length > 0 && text[0] == '-';
	size_t sign = negative || (length > 0 && text[0] == '+');
	text += sign;
	length -= sign;
	bool hex = length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	text += hex ? 2 : 0;
	length -= hex ? 2 : 0;
	uint64_t magnitude;
	if (length == 0 || config_digits(text, length, hex ? 16 : 10, &magnitude) != length ||
		magnitude > (uint64_t)INT64_MAX + negative)
		return config_wrong(why, "is no whole number of 64 bits");
	*number = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return 0;
}

/* Digits and a unit. */
static int config_parse_unit(const char *text, size_t length, const struct config_unit *units,
	size_t units_count, int64_t *number)
{
	uint64_t value;
	size_t digits = config_digits(text, length, 10, &value);
	if (digits == 0)
		return -EINVAL;
	for (size_t i = 0; i < units_count; i++) {
		if (config_is(text + digits, length - digits, units[i].name)) {
			bool over = __builtin_mul_overflow(value, units[i].factor, &value);
			*number = (int64_t)value;
			return over || value > (uint64_t)INT64_MAX ? -EINVAL : 0;
		}
	}
	return -EINVAL;
}

static int config_parse_size(const char *text, size_t length, int64_t *number, char *why)
{
	if (config_parse_unit(text, length, config_size_units, MOIRAI_ARRAY_SIZE(config_size_units),
		    number) == 0)
		return 0;
	return config_wrong(why, "is no size (a whole number of bytes, or with K, M, G or T)");
}

static int config_parse_duration(const char *text, size_t length, int64_t *number, char *why)
{
	*number = 0;
	if (config_is(text, length, "0") ||
		config_parse_unit(text, length, config_duration_units,
			MOIRAI_ARRAY_SIZE(config_duration_units), number) == 0)
		return 0;
	return config_wrong(why, "is no duration (a whole number with ns, us, ms or s)");
}

static int config_parse_enum(
	const moirai_config_key *key, const char *text, size_t length, int64_t *number, char *why)
{
	for (int64_t i = 0; key->choices[i]; i++) {
		if (config_is(text, length, key->choices[i])) {
			*number = i;
			return 0;
		}
	}
	size_t size = (size_t)snprintf(why, CONFIG_WHY_MAX, "is none of");
	for (size_t i = 0; key->choices[i] && size < CONFIG_WHY_MAX; i++)
		size += (size_t)snprintf(
			why + size, CONFIG_WHY_MAX - size, "%s %s", i ? "," : "", key->choices[i]);
	return -EINVAL;
}

static int config_parse_string(const char *text, size_t length, char *why)
{
	for (size_t i = 0; i < length;) {
		size_t step = text_utf8((const unsigned char *)text + i, length - i);
		if (step == 0 || text[i] == 0)
			return config_wrong(why, "is no UTF-8 text");
		i += step;
	}
	return 0;
}

static void config_unit_text(
	char *out, const struct config_unit *units, size_t count, int64_t number)
{
	size_t i = 0;
	while (i + 1 < count && ((uint64_t)number % units[i].factor != 0 || number == 0))
		i++;
	snprintf(out, MOIRAI_CONFIG_VALUE_MAX + 1, "%" PRIu64 "%s",
		(uint64_t)number / units[i].factor, units[i].name);
}

/* The canonical text: what is read back as the same value. */
static void config_text(
	const moirai_config_key *key, const char *text, size_t length, int64_t number, char *out)
{
	switch (key->type) {
	case MOIRAI_CONFIG_BOOL:
		strcpy(out, number ? "true" : "false");
		break;
	case MOIRAI_CONFIG_INT:
		snprintf(out, MOIRAI_CONFIG_VALUE_MAX + 1, "%" PRId64, number);
		break;
	case MOIRAI_CONFIG_SIZE:
		config_unit_text(out, config_size_units, 5, number);
		break;
	case MOIRAI_CONFIG_DURATION:
		config_unit_text(out, config_duration_units, 4, number);
		break;
	default:
		memcpy(out, text, length);
		out[length] = 0;
		break;
	}
}

static int config_check_range(const moirai_config_key *key, int64_t number, char *why)
{
	bool ranged = key->type == MOIRAI_CONFIG_INT || key->type == MOIRAI_CONFIG_SIZE ||
		      key->type == MOIRAI_CONFIG_DURATION;
	if (!ranged || (key->min == 0 && key->max == 0) ||
		(number >= key->min && number <= key->max))
		return 0;
	char low[MOIRAI_CONFIG_VALUE_MAX + 1], high[MOIRAI_CONFIG_VALUE_MAX + 1];
	config_text(key, NULL, 0, key->min, low);
	config_text(key, NULL, 0, key->max, high);
	snprintf(why, CONFIG_WHY_MAX, "is not in %.40s .. %.40s", low, high);
	return -EINVAL;
}

int moirai__config_parse(const moirai_config_key *key, const char *text, size_t length,
	int64_t *number, char *canonical, char *why)
{
	int status = -EINVAL;
	*number = 0;
	if (length > MOIRAI_CONFIG_VALUE_MAX)
		return config_wrong(why, "is too long");
	switch (key->type) {
	case MOIRAI_CONFIG_BOOL:
		status = config_parse_bool(text, length, number, why);
		break;
	case MOIRAI_CONFIG_INT:
		status = config_parse_int(text, length, number, why);
		break;
	case MOIRAI_CONFIG_SIZE:
		status = config_parse_size(text, length, number, why);
		break;
	case MOIRAI_CONFIG_DURATION:
		status = config_parse_duration(text, length, number, why);
		break;
	case MOIRAI_CONFIG_ENUM:
		status = config_parse_enum(key, text, length, number, why);
		break;
	case MOIRAI_CONFIG_STRING:
		status = config_parse_string(text, length, why);
		break;
	}
	if (status == 0)
		status = config_check_range(key, *number, why);
	if (status == 0)
		config_text(key, text, length, *number, canonical);
	return status;
}
