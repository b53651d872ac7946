//! The documentation says what the program does: each column, option and field is in it, and help texts are as recorded.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on must stop, loudly

use clap::{Arg, Command, CommandFactory};
use iotrace::{cli, output::Column, output::json};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};

/// Pages about all commands.
const COMMON: [&str; 4] = ["docs/running.md", "docs/filters.md", "docs/json.md", "README.md"];

/// Columns that help texts are wrapped at.
const WIDTH: usize = 100;

/// A file of the documentation, by its path in the repository.
fn page(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn page_of(command: &str) -> String {
    page(&format!("docs/{command}.md"))
}

/// The command line, with help texts of the same width everywhere.
fn command_line() -> Command {
    let fixed = |command: Command| command.term_width(WIDTH).max_term_width(WIDTH);
    let mut command = fixed(cli::Cli::command()).mut_subcommands(fixed);
    command.build();
    command
}

/// The commands, without `help`.
fn commands() -> Vec<Command> {
    let all = command_line();
    all.get_subcommands().filter(|command| command.get_name() != "help").cloned().collect()
}

/// Whether a text has an option, and not just one whose name begins like it.
fn has_option(text: &str, option: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '-');
    text.match_indices(option).any(|(at, found)| ends(&text[at + found.len()..]))
}

fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()))
}

#[test]
fn every_column_is_in_its_commands_page() {
    let tables: [(&str, &[Column]); 12] = [
        ("top", cli::top::COLUMNS),
        ("fsync", cli::fsync::COLUMNS),
        ("fsync", cli::fsync::TRACE_COLUMNS),
        ("open", cli::open::COLUMNS),
        ("life", cli::life::COLUMNS),
        ("life", cli::life::TRACE_COLUMNS),
        ("disk", cli::disk::COLUMNS),
        ("block", cli::block::COLUMNS),
        ("block", cli::block::SUMMARY_COLUMNS),
        ("copyup", cli::copyup::COLUMNS),
        ("copyup", cli::copyup::SUMMARY_COLUMNS),
        ("wait", cli::wait::COLUMNS),
    ];
    for (command, columns) in tables {
        let text = page_of(command);
        for column in columns {
            let row = format!("| `{}` | {} |", column.key, column.header);
            assert!(text.contains(&row), "docs/{command}.md has no row that begins with {row}");
        }
    }
}

#[test]
fn every_option_is_described() {
    let common: String = COMMON.map(page).concat();
    for command in commands() {
        let name = command.get_name();
        let text = page_of(name) + &common;
        for long in options(&command).filter_map(Arg::get_long) {
            let option = format!("--{long}");
            assert!(has_option(&text, &option), "{option} is neither in docs/{name}.md nor in {}", COMMON.join(", "));
        }
    }
}

#[test]
fn every_value_of_an_option_is_described() {
    let common: String = COMMON.map(page).concat();
    for command in commands() {
        let name = command.get_name();
        let text = page_of(name) + &common;
        for arg in options(&command).filter(|arg| arg.get_action().takes_values()) {
            for value in arg.get_possible_values().iter().filter(|value| !value.is_hide_set()) {
                let value = value.get_name();
                let described = [format!("`{value}`"), format!("{value}\\|"), format!("\\|{value}")];
                assert!(
                    described.iter().any(|form| text.contains(form)),
                    "{value}, which {} of {name} takes, is not in docs/{name}.md",
                    arg.get_id()
                );
            }
        }
    }
}

/// Names of the properties of each type in the JSON Schema.
fn properties() -> BTreeMap<String, Vec<String>> {
    let schema = serde_json::to_value(json::schema()).unwrap();
    let names = |ty: &Value| ty["properties"].as_object().map(|all| all.keys().cloned().collect::<Vec<_>>());
    let types = schema["$defs"].as_object().unwrap();
    types.iter().filter_map(|(name, ty)| Some((name.clone(), names(ty)?))).collect()
}

#[test]
fn every_field_of_json_is_described() {
    let common = page("docs/json.md");
    let types = properties();
    assert!(types.len() >= 9, "the schema has only {types:?}");
    for (ty, names) in types {
        let own = match ty.as_str() {
            "IoLine" | "NamingLine" => page_of("events"),
            "LifeLine" | "LifeEndLine" => page_of("life"),
            "BlockLine" | "BlockFile" | "Cause" | "Issuer" | "BlockSumLine" => page_of("block"),
            "CopyUpLine" | "CopyUpSumLine" => page_of("copyup"),
            "OpenLine" => page_of("open"),
            "TopLine" => page_of("top"),
            "FindingLine" | "FailureLine" | "WriteSizesLine" | "SizeBucket" => page_of("diagnose"),
            "FsyncLine" => page_of("fsync"),
            "WaitLine" | "Holder" | "Limit" | "PeerProcess" | "PressureLine" => page_of("wait"),
            "LatencyLine" | "LatencyOwner" | "Distribution" | "Bucket" => page_of("latency"),
            "DiskLine" | "DiskCause" | "DeviceCounts" | "KindCounts" | "Requests" | "OpRequests" => page_of("disk"),
            // What has no command of its own is in docs/json.md alone.
            _ => String::new(),
        };
        for name in names {
            let quoted = format!("`{name}`");
            assert!(own.contains(&quoted) || common.contains(&quoted), "the field {name} of {ty} is not described");
        }
    }
}

#[test]
fn help_texts_are_as_recorded() {
    insta::assert_snapshot!("help", command_line().render_long_help().to_string());
    for mut command in commands() {
        insta::assert_snapshot!(format!("help_{}", command.get_name()), command.render_long_help().to_string());
    }
}
