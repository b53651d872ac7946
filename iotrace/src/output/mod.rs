//! Rows to text: tables for people, JSON lines for machines.
