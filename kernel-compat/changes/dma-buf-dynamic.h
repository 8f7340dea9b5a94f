/* Linux 6.19: dma_buf_attachment_is_dynamic() became private to dma-buf.c. An importer that can be told to move a
 * buffer has importer_ops. */
#ifndef KERNEL_HAS_dma_buf_attachment_is_dynamic
#define dma_buf_attachment_is_dynamic(attachment) (!!(attachment)->importer_ops)
#endif
