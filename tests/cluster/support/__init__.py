"""What the cluster tests stand on: a cluster, the mesh in it, pods of the test application, their proxies' counters."""
