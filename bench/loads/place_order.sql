-- The reference: an order of up to two items, decided and written inside PostgreSQL, one call and one transaction each.
-- It makes the same checks and takes the same locks as the shop, in the same tables; its event is a little shorter.
CREATE OR REPLACE FUNCTION place_order(buyer BIGINT, first_product BIGINT, second_product BIGINT) RETURNS BIGINT
LANGUAGE plpgsql AS $$
DECLARE
    wallet RECORD;
    product RECORD;
    wanted BIGINT;
    amount BIGINT := 0;
    item_index BIGINT := 0;
    order_id BIGINT;
    entry_id BIGINT;
    event_id BIGINT;
    event_batch_id BIGINT;
    at BIGINT := (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT;
BEGIN
    SELECT balance, last_entry INTO wallet FROM users WHERE id = buyer FOR NO KEY UPDATE;
    IF NOT FOUND THEN RAISE EXCEPTION 'no such user'; END IF;
    order_id := nextval('orders_ids');
    FOR product IN
        SELECT id, price, stock FROM products WHERE id IN (first_product, second_product) ORDER BY id FOR NO KEY UPDATE
    LOOP
        wanted := CASE product.id WHEN first_product THEN 1 ELSE 2 END;
        IF product.stock < wanted THEN RAISE EXCEPTION 'out of stock'; END IF;
        UPDATE products SET stock = stock - wanted WHERE id = product.id;
        INSERT INTO order_items (order_id, position, product_id, quantity, unit_price)
            VALUES (order_id, item_index, product.id, wanted, product.price);
        amount := amount + wanted * product.price;
        item_index := item_index + 1;
    END LOOP;
    IF wallet.balance < amount THEN RAISE EXCEPTION 'insufficient balance'; END IF;
    entry_id := nextval('ledger_entries_ids');
    event_id := nextval('outbox_ids');
    event_batch_id := nextval('event_batches_ids');
    UPDATE users SET balance = balance - amount, last_entry = entry_id WHERE id = buyer;
    INSERT INTO orders (id, user_id, status, amount, discount, total, payment_entry, created_at)
        VALUES (order_id, buyer, 'paid', amount, 0, amount, entry_id, at);
    INSERT INTO ledger_entries (id, user_id, previous, kind, amount, balance_after, order_id, created_at)
        VALUES (entry_id, buyer, wallet.last_entry, 'payment', -amount, wallet.balance - amount, order_id, at);
    INSERT INTO outbox (id, event_batch_id, order_id, type, event) VALUES (
        event_id, event_batch_id, order_id, 'jangteo.order.paid',
        '{"specversion":"1.0","id":"stored-order-' || order_id || '-paid","source":"/jangteo/stored","type":"jangteo.order.paid",'
        '"subject":"' || order_id || '","datacontenttype":"application/json","data":{"orderId":' || order_id
        || ',"userId":' || buyer || ',"status":"paid","amount":' || amount || ',"discount":0,"total":' || amount
        || ',"couponId":null}}'
    );
    INSERT INTO event_batches (id, first_event, last_event, created_at) VALUES (event_batch_id, event_id, event_id, at);
    RETURN order_id;
END $$;

CREATE TABLE IF NOT EXISTS bare_commits (value BIGINT);
