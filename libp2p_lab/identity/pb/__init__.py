"""Generated protobuf code; only the codec beside this folder imports it."""
