//! J5: an application that counts words. A request has a thread write 1000 files, read them back and remove them; the main thread, which
//! somebody looks at with strace, only waits for requests.

use super::Program;
use iotrace_tests::harness::LoopDisk;
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::Command,
};

const APP: &str = "
import http.server, os, shutil, sys, uuid
class Words(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_GET(self):
        place = os.path.join(sys.argv[1], str(uuid.uuid4()))
        os.mkdir(place)
        counts = {}
        for n in range(1000):
            with open(os.path.join(place, '%d.txt' % n), 'w') as file: file.write('so many words ' * 503)
        for n in range(1000):
            with open(os.path.join(place, '%d.txt' % n)) as file:
                for word in file.read().split(): counts[word] = counts.get(word, 0) + 1
        shutil.rmtree(place)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(repr(counts).encode())
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Words)
with open(sys.argv[1] + '/port', 'w') as file: file.write('%d\\n' % server.server_port)
server.serve_forever()
";

/// The application.
pub(crate) struct Words {
    /// Its disk.
    pub(crate) disk: LoopDisk,
    /// Its process.
    pub(crate) program: Program,
    port: u16,
    _noise: Program,
}

impl Words {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let disk = LoopDisk::new(128);
        let noise = Program::noise(disk.dir());
        let program = Program::start(Command::new("python3").args(["-c", APP]).arg(disk.dir()));
        let file: PathBuf = disk.dir().join("port");
        let port = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some(port) = text.strip_suffix('\n') {
                break port.parse().unwrap();
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        Self { disk, program, port, _noise: noise }
    }

    /// Asks once, and waits for the answer.
    pub(crate) fn ask(&self) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("'so': 503000"), "{answer}");
    }

    /// Bytes that its main thread has written: all that strace would see of it.
    pub(crate) fn written_by_the_main_thread(&self) -> u64 {
        let pid = self.program.pid();
        let io = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/io")).unwrap();
        io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
    }
}
