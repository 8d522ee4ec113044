"""The product service as the seed ran it: Flask's development server, Redis read by redis-py.

Frozen: bench/questions/chain.py compares the chain with it.
"""

import json
import os
from pathlib import Path

import redis
from flask import Flask, jsonify

KEY = "naive:products"
LIFETIME_S = 600

app = Flask(__name__)
cache = redis.Redis(
    host=os.environ["REDIS_HOST"],
    port=int(os.environ["REDIS_PORT"]),
    username=os.environ["REDIS_USER"],
    password=Path(os.environ["REDIS_PASSWORD_FILE"]).read_text().strip(),
    decode_responses=True,
)


@app.route("/products")
def products():
    kept = cache.get(KEY)
    if kept:
        return jsonify(json.loads(kept))
    found = json.loads(Path(os.environ["PRODUCTS_FILE"]).read_text())
    cache.setex(KEY, LIFETIME_S, json.dumps(found))
    return jsonify(found)


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ["PORT"]))
