//! The numbers that TypeScript has are those of the core.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use netpoll_core::protocol::{GROUPS, Group};

const FILE: &str = "src-ts/native/protocol-numbers.ts";

fn number(number: u32) -> String {
    match (number / 1_000, number % 1_000) {
        (0, small) => small.to_string(),
        (thousands, rest) if thousands >= 10 => format!("{thousands}_{rest:03}"),
        (thousands, rest) => format!("{thousands}{rest:03}"),
    }
}

fn group(
    text: &mut String,
    Group {
        name,
        about,
        entries,
    }: Group,
) {
    let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
    write!(text, "\n/** {about} */\nexport const {name} = {{\n").expect("a string takes it");
    for entry in entries {
        writeln!(text, "  {}: {},", entry.name, number(entry.number)).expect("a string takes it");
    }
    write!(
        text,
        "}} as const\n\nexport type {name} = (typeof {name})[keyof typeof {name}]\n"
    )
    .expect("a string takes it");
}

#[test]
fn typescript_has_the_numbers_of_the_core() {
    let mut text = "// Made from crates/core/src/protocol.rs: \
        `UPDATE_PROTOCOL=1 cargo test -p netpoll-core --test protocol`.\n"
        .to_owned();
    for numbers in GROUPS {
        group(&mut text, numbers);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(FILE);
    if env::var_os("UPDATE_PROTOCOL").is_some() {
        fs::write(&path, &text).expect("the file is written");
    }
    let found = fs::read_to_string(&path).expect("the file is there");
    let differs = text
        .lines()
        .zip(found.lines())
        .find(|(core, file)| core != file);
    assert_eq!(
        differs, None,
        "{FILE} differs from crates/core/src/protocol.rs"
    );
    assert_eq!(
        text, found,
        "{FILE} differs from crates/core/src/protocol.rs"
    );
}

#[test]
fn no_number_stands_for_two_things() {
    for Group { name, entries, .. } in GROUPS {
        for (index, entry) in entries.iter().enumerate() {
            let same = entries[..index]
                .iter()
                .find(|other| other.number == entry.number);
            assert!(same.is_none(), "{name}: {entry:?} and {same:?}");
        }
    }
}
