"""Tests. Each directory mirrors the one of the same name in injector/; golden/ holds texts that they compare with."""
