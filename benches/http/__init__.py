"""What a pair of proxies costs HTTP and gRPC: requests a second, latency, CPU a request, memory."""
