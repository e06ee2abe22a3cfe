/* SPDX-License-Identifier: MIT */
/* Private: what a topology is made of. */
#ifndef MOIRAI_UTILS_SRC_TOPOLOGY_H
#define MOIRAI_UTILS_SRC_TOPOLOGY_H

#include <moirai/utils/topology.h>

/* The firmware's distances (ACPI SLIT): local, and what a remote node has when nothing is said. */
#define NODE_DISTANCE_LOCAL  10
#define NODE_DISTANCE_REMOTE 20

struct moirai_topology {
	moirai_topology_info info_;
	moirai_cpuset usable_;
	moirai_topology_cpu cpus_[MOIRAI_CPUS_MAX]; /* the first info_.cpus, by increasing number */
	uint16_t index_[MOIRAI_CPUS_MAX]; /* of a processor's number in cpus_, plus 1; 0: none */
	uint16_t node_number_[MOIRAI_NODES_MAX];
	uint16_t node_distance_[MOIRAI_NODES_MAX][MOIRAI_NODES_MAX];
};

#endif
