"""Discovery: what Services, EndpointSlices and pods mean for a proxy, streamed to all that follow."""
