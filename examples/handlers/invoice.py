"""Writes an invoice for each event: a line of JSON in, a line of JSON out, until the input ends."""

import json
import os
import sys

folder = os.environ["INVOICE_DIR"]
os.makedirs(folder, exist_ok=True)

for line in sys.stdin:
    question = json.loads(line)
    order = question["event"]["data"]
    answer = {"id": question["id"], "ok": True}
    try:
        # The id is the same at every attempt: an invoice that is there already was written before a crash.
        with open(os.path.join(folder, question["id"] + ".txt"), "x", encoding="utf-8") as invoice:
            invoice.write(f"Invoice for {order['customer']}: {order['total']}\n")
    except FileExistsError:
        pass
    except OSError as why:
        answer = {"id": question["id"], "error": str(why), "retry": True}
    print(json.dumps(answer), flush=True)
