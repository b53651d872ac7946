//! Hosts with which nothing is wrong.
