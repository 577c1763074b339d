-- Each periodic scan and each way to a cart by its owner has an index that holds nothing else.
DROP INDEX cart.cart_idle;
CREATE INDEX cart_idle_guest ON cart.cart (updated_at) WHERE state = 'open' AND user_id IS NULL;
CREATE INDEX cart_idle_user ON cart.cart (updated_at) WHERE state = 'open' AND user_id IS NOT NULL;
CREATE INDEX cart_unreminded ON cart.cart (updated_at) WHERE state = 'open' AND user_id IS NOT NULL AND reminded_at IS NULL;
CREATE INDEX cart_user ON cart.cart (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX cart_merged_into ON cart.cart (merged_into) WHERE merged_into IS NOT NULL;
