//! Prints the proxy's table of malformed requests, one case a line: the list's name, what it is refused with (`-` if it is
//! carried), and the bytes in hexadecimal digits. A program of its own, so that rustc alone builds it in a second.

#[path = "../../../../injector/proxy/src/http/h1/cases.rs"]
mod cases;

use cases::{BODIES, FIELDS, FRAMINGS, PASSED, REQUEST_LINES};

fn print(list: &str, label: &str, bytes: &[u8]) {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{list} {label} {digits}");
}

fn main() {
    let lists = [("request_lines", REQUEST_LINES), ("fields", FIELDS), ("framings", FRAMINGS), ("bodies", BODIES)];
    for (list, refused) in lists {
        for (bytes, label) in refused {
            print(list, label, bytes);
        }
    }
    for bytes in PASSED {
        print("passed", "-", bytes);
    }
}
