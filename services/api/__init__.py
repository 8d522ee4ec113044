"""The public interface as declared: one table, from which services and its document are made."""
