"""What a pair of proxies costs a TCP connection: client, its pod's proxy, the server's pod's proxy, server."""
