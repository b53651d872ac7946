//! Hosts with which nothing is wrong.

use super::Program;
use std::{path::Path, process::Command};

/// A compiler that makes one program after the other.
pub(crate) fn compile(place: &Path) -> Program {
    const SOURCE: &str = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\
        int main(void) { char *text = strdup(\"hello\"); puts(text); free(text); return 0; }\n";
    std::fs::write(place.join("hello.c"), SOURCE).unwrap();
    let script = format!("export TMPDIR={}; while :; do cc -O2 -o hello hello.c && ./hello; done", place.display());
    Program::script(place, &script)
}

/// A web server whose pages are in memory, with a client that asks without pause.
pub(crate) fn web(place: &Path) -> Program {
    const SERVER: &str = "
import http.server, threading, urllib.request
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
while True:
    urllib.request.urlopen('http://127.0.0.1:%d/page.html' % server.server_port).read()
";
    std::fs::write(place.join("page.html"), vec![b'x'; 100_003]).unwrap();
    Program::start(Command::new("python3").args(["-c", SERVER]).current_dir(place))
}

/// A database that commits a batch every two seconds.
pub(crate) fn database(place: &Path) -> Program {
    const BATCHES: &str = "
import sqlite3, time
database = sqlite3.connect('orders.db')
database.execute('create table orders (id integer primary key, text)')
while True:
    with database:
        database.executemany('insert into orders (text) values (?)', (('order %d' % n,) for n in range(503)))
    database.execute('select count(*), max(text) from orders').fetchall()
    time.sleep(2)
";
    Program::start(Command::new("python3").args(["-c", BATCHES]).current_dir(place))
}

/// Nothing to do.
pub(crate) fn idle(place: &Path) -> Program {
    Program::script(place, "sleep 60")
}

/// A program that only computes.
pub(crate) fn busy(place: &Path) -> Program {
    Program::script(place, "while :; do :; done")
}
