"""Tests of the pure core: tables for what is finite, properties for what is not, goldens for what people read."""
