"""The Vertex Model Registry: new versions of one model, endpoints and batch prediction."""
