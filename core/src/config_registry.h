/* SPDX-License-Identifier: MIT */
/* How a configuration keeps the tables that it was made from. */
#ifndef MOIRAI_CORE_SRC_CONFIG_REGISTRY_H
#define MOIRAI_CORE_SRC_CONFIG_REGISTRY_H

#include <moirai/core/config.h>

/* Takes a use of every registered table; tables[MOIRAI_CONFIG_TABLES_MAX]. Returns how many. */
size_t moirai__config_registry_pin(const moirai_config_table **tables);

/* Gives them back. */
void moirai__config_registry_unpin(const moirai_config_table *const *tables, size_t count);

#endif
