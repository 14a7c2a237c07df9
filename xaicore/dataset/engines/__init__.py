"""Who makes the shards of a run: this process, several of this machine, or those of a cluster."""
