"""The nouns: msgspec Structs and enums, the shapes on the wire and in code. Only the standard library and msgspec."""
