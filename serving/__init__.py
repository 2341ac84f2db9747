"""What answers: the model store, the gRPC and REST servers, and the client."""
