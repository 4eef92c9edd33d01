"""The peer of `decode` in Python: PyPI `mysql-replication`, which reads row events in Python itself.

    python3 decode_peer.py BINLOG_FILE [EVENTS]

Reads a binlog file with the package's own event classes, as its `BinLogStreamReader` does with what a server sends, and prints
`row changes, seconds of processor time`. It reads every table map, and the first EVENTS row events (by default all); checksums are not
verified, which is its default. No server is needed: an event in a file is what a server sends behind one byte that says "ok".
Ends with status 3 where the package is not installed (`pip install mysql-replication`).
"""

import sys
import time

try:
    from pymysql.protocol import MysqlPacket
    from pymysqlreplication import constants
    from pymysqlreplication.packet import BinLogPacketWrapper
    from pymysqlreplication.row_event import DeleteRowsEvent, TableMapEvent, UpdateRowsEvent, WriteRowsEvent
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)

ROWS = (WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent)


class Control:
    """What an event asks of the connection: its character set, and who wrote the log."""

    charset = "utf8mb4"

    def _get_dbms(self):
        return "mariadb"

    def _get_table_information(self, schema, table):
        return []


def packets(data):
    """The events of a file, each as a server would send it."""
    at = 4
    while at < len(data):
        size = int.from_bytes(data[at + 9 : at + 13], "little")
        yield data[at + 4], MysqlPacket(b"\0" + data[at : at + size], "utf-8")
        at += size


def read(data, events):
    """Row changes, and the processor time that reading them took."""
    maps, changes, wanted = {}, 0, frozenset((TableMapEvent, *ROWS))
    start = time.process_time()
    for kind, packet in packets(data):
        if kind != constants.TABLE_MAP_EVENT and events <= 0:
            break
        wrapper = BinLogPacketWrapper(
            packet, maps, Control(), (10, 11, 0), True, wanted, None, None, None, None, False, False, False, True, False
        )
        if kind == constants.TABLE_MAP_EVENT:
            event = wrapper.event
            maps[event.table_id] = event.get_table()
        elif isinstance(wrapper.event, ROWS):
            changes += len(wrapper.event.rows)
            events -= 1
    return changes, time.process_time() - start


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        log = file.read()
    print(*read(log, int(sys.argv[2]) if len(sys.argv) > 2 else 1 << 60))
