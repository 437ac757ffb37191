"""The products and orders, in MariaDB, with Redis in front of what is read often."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Final, TypedDict

import aiomysql
import redis.asyncio as redis

LOG = logging.getLogger(__name__)

# Two API pods of ten connections each stay far below the database's 100.
POOL_SIZE: Final = 10
CONNECT_SECONDS: Final = 2.0
QUERY_SECONDS: Final = 2.0
# A connection older than this is replaced, so that connections spread again after a database restart.
RECYCLE_SECONDS: Final = 300
CACHE_SECONDS: Final = 2
CACHE_KEY: Final = "products"


class Product(TypedDict):
    """One row of the catalogue; the price is in cents."""

    id: int
    name: str
    price_cents: int
    sold: int


class UnknownProductError(Exception):
    """An order for a product that is not in the catalogue."""


class Catalogue:
    """Pools are filled on demand, so that the API starts before its database and survives its restarts."""

    def __init__(self, database: aiomysql.Pool, cache: redis.Redis) -> None:
        self._database = database
        self._cache = cache

    @classmethod
    async def open(
        cls, *, database_host: str, database_password: str, cache_host: str, cache_password: str
    ) -> Catalogue:
        database = await aiomysql.create_pool(
            host=database_host,
            user="shop",
            password=database_password,
            db="shop",
            minsize=0,
            maxsize=POOL_SIZE,
            connect_timeout=CONNECT_SECONDS,
            pool_recycle=RECYCLE_SECONDS,
        )
        cache = redis.Redis(
            host=cache_host,
            password=cache_password,
            max_connections=POOL_SIZE,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=QUERY_SECONDS,
        )
        return cls(database, cache)

    async def close(self) -> None:
        self._database.close()
        await self._database.wait_closed()
        await self._cache.close()

    async def products(self) -> list[Product]:
        """All products, at most CACHE_SECONDS old. Without Redis it is slower, not broken."""
        try:
            if cached := await self._cache.get(CACHE_KEY):
                products: list[Product] = json.loads(cached)
                return products
        except redis.RedisError as error:
            LOG.warning("reading the cache failed: %s", error)
        products = await self._read_products()
        try:
            await self._cache.set(CACHE_KEY, json.dumps(products), ex=CACHE_SECONDS)
        except redis.RedisError as error:
            LOG.warning("writing the cache failed: %s", error)
        return products

    async def order(self, product: int, quantity: int) -> int:
        """Write an order and count it as sold, both or neither. Returns the order's number."""
        async with asyncio.timeout(QUERY_SECONDS), self._database.acquire() as connection:
            await connection.begin()
            try:
                number = await self._write_order(connection, product, quantity)
                await connection.commit()
            except BaseException:
                await connection.rollback()
                raise
        return number

    async def unavailable(self) -> str:
        """Why orders cannot be taken right now; "" when they can."""
        try:
            async with asyncio.timeout(QUERY_SECONDS), self._database.acquire() as connection:
                await connection.ping(reconnect=False)
            await self._cache.ping()
        except (OSError, TimeoutError, aiomysql.Error, redis.RedisError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    async def _read_products(self) -> list[Product]:
        async with asyncio.timeout(QUERY_SECONDS), self._database.acquire() as connection:
            async with connection.cursor(aiomysql.DictCursor) as cursor:
                await cursor.execute("SELECT id, name, price_cents, sold FROM products ORDER BY id")
                rows: list[Product] = await cursor.fetchall()
            await connection.rollback()  # ends the snapshot, or the pool would hand on old data
        return rows

    @staticmethod
    async def _write_order(connection: Any, product: int, quantity: int) -> int:
        async with connection.cursor() as cursor:
            changed = await cursor.execute("UPDATE products SET sold = sold + %s WHERE id = %s", (quantity, product))
            if not changed:
                raise UnknownProductError(f"there is no product {product}")
            await cursor.execute("INSERT INTO orders (product_id, quantity) VALUES (%s, %s)", (product, quantity))
            return int(cursor.lastrowid)
