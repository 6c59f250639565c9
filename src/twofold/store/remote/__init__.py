"""Indexes on engines elsewhere: PostgreSQL with pgvector, and Milvus."""
