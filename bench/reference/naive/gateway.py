"""The gateway as the seed ran it: Flask's development server, a new connection for each call.

Frozen: bench/questions/chain.py compares the chain with it.
"""

import os
from itertools import cycle

import requests
from flask import Flask, jsonify

app = Flask(__name__)
upstreams = cycle(os.environ["UPSTREAMS"].split())


@app.route("/api/products")
def products():
    response = requests.get(f"http://{next(upstreams)}/products", timeout=10)
    return jsonify(response.json()), response.status_code


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ["PORT"]))
