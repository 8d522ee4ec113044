-- PostgreSQL's roles: one for each service, with the columns that its code writes and no other.
-- Idempotent; applied by the superuser, after the schema and whenever this file has changed. Who may
-- log in, with which password, is in the secret postgres.roles; nobody can as the tables' owner.

DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['product-service', 'order-service', 'monitor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;

GRANT USAGE ON SCHEMA public TO "product-service", "order-service", monitor;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "product-service", "order-service", monitor;

GRANT SELECT ON products TO "product-service", "order-service";

GRANT UPDATE (stock) ON products TO "order-service";

GRANT SELECT, INSERT ON orders, order_items TO "order-service";

GRANT UPDATE (idempotency_key, to_empty) ON orders TO "order-service";

-- The benchmark reads settings and counts rows, on the store's own host.
ALTER ROLE monitor LOGIN;

GRANT SELECT (id) ON products, orders TO monitor;

GRANT SELECT (order_id) ON order_items TO monitor;
