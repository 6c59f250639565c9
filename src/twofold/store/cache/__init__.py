"""What a large local index is searched by: derived, hashed, built again at will."""
